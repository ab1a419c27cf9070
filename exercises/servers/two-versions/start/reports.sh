. /lib/tool.sh
if [ "$TOOL" != 2 ]; then echo "reports needs tool 2, and found tool $TOOL"; exit 1; fi
echo "reports works with tool $TOOL"
sleep 3600
