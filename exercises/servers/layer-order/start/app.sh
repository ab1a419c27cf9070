echo "version 1 with $(ls /packages)"
sleep 3600
