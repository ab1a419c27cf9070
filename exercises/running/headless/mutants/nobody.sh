kubectl delete service index
kubectl create service clusterip index --clusterip=None
kubectl set selector service index app=shard
