kubectl patch secret store --type merge -p '{"stringData":{"KEY":"blue-heron-41"}}'
kubectl rollout restart deployment/uploader
kubectl set env deployment/reporter KEY=blue-heron-41
