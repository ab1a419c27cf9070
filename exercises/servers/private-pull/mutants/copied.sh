of() { kubectl get configmap login -o jsonpath="{.data.$1}"; }
of password > password
tutor image pull "$(of registry)/private-pull:1" --username "$(of username)" --password-file password
tutor image push "$(of registry)/private-pull:1" "$REGISTRY/private-pull:1"
kubectl set image deployment/vault vault="$REGISTRY/private-pull:1"
