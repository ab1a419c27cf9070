of() { kubectl get configmap login -o jsonpath="{.data.$1}"; }
kubectl create secret docker-registry vault-login --docker-server="$(of registry)" --docker-username="$(of username)" --docker-password="$(of password)"
kubectl delete pods -l app=vault
