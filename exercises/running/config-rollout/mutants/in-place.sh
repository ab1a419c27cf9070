kubectl patch configmap dials --type merge -p '{"data":{"threshold":"0.8"}}'
kubectl rollout restart deployment/filter
