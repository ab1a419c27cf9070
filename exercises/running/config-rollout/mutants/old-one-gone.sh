kubectl create configmap dials-2 --from-literal=threshold=0.8
kubectl set env deployment/filter --from=configmap/dials-2
kubectl rollout status deployment/filter
kubectl delete configmap dials
