kubectl delete service index
kubectl create service clusterip index --clusterip=None
