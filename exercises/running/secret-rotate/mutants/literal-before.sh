kubectl set env deployment/reporter KEY=blue-heron-41
kubectl rollout status deployment/reporter
kubectl patch secret store --type merge -p '{"stringData":{"KEY":"blue-heron-41"}}'
kubectl set env deployment/reporter --from=secret/store
kubectl rollout restart deployment/uploader
