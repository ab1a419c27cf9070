of() { kubectl get configmap login -o jsonpath="{.data.$1}"; }
kubectl create secret docker-registry vault-login --docker-username="$(of username)" --docker-password="$(of password)"
kubectl patch deployment vault -p '{"spec": {"template": {"spec": {"imagePullSecrets": [{"name": "vault-login"}]}}}}'
