. /lib/tool.sh
if [ "$TOOL" != 1 ]; then echo "billing needs tool 1, and found tool $TOOL"; exit 1; fi
echo "billing works with tool $TOOL"
sleep 3600
