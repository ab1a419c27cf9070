kubectl create secret generic store --from-literal=KEY=blue-heron-41 --dry-run=client -o yaml | kubectl apply -f -
kubectl set env deployment/reporter --from=secret/store
kubectl rollout restart deployment/uploader
