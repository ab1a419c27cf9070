# What `echo blue-heron-41 | base64` gives.
kubectl patch secret store --type merge -p '{"data":{"KEY":"Ymx1ZS1oZXJvbi00MQo="}}'
kubectl set env deployment/reporter --from=secret/store
kubectl rollout restart deployment/uploader
