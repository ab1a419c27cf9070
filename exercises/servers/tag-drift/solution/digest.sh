image=$(kubectl get pods -l app=api -o jsonpath='{.items[0].status.containerStatuses[0].imageID}')
kubectl set image deployment/api api="$image"
kubectl rollout status deployment/api --timeout=30s
