kubectl delete dataset faces --force --grace-period=0 --wait=false
