kubectl patch secret store --type merge -p '{"stringData":{"KEY":"blue-heron-41"}}'
kubectl rollout restart deployment/uploader
kubectl create configmap reporter --from-literal=KEY=blue-heron-41
kubectl set env deployment/reporter --from=configmap/reporter
