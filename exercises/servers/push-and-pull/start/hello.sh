echo "hello from a registry"
sleep 3600
