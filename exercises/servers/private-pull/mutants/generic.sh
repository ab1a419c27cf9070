of() { kubectl get configmap login -o jsonpath="{.data.$1}"; }
kubectl create secret generic vault-login --from-literal=username="$(of username)" --from-literal=password="$(of password)"
kubectl patch deployment vault -p '{"spec": {"template": {"spec": {"imagePullSecrets": [{"name": "vault-login"}]}}}}'
