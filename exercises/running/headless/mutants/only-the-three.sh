kubectl delete service index
kubectl create service clusterip index --clusterip=None
kubectl label pods -l app=index known=yes
kubectl set selector service index app=index,known=yes
