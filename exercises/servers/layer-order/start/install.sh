# Stands for a package manager: makes what a list names. No two installs are the same, byte for byte.
mkdir -p /packages
for package in $(cat "$1"); do
  head -c 2000000 /dev/urandom > "/packages/$package"
done
