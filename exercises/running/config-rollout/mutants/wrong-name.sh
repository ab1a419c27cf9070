kubectl create configmap dials-2 --from-literal=treshold=0.8
kubectl set env deployment/filter --from=configmap/dials-2
