kubectl delete service index
kubectl apply -f - <<EOF
apiVersion: v1
kind: Service
metadata: {name: index}
spec: {clusterIP: None, ports: [{name: search, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: index-by-hand, labels: {kubernetes.io/service-name: index}}
addressType: IPv4
ports: [{name: search, port: 80, protocol: TCP}]
endpoints:
- {addresses: [$(kubectl get pod index-0 -o 'jsonpath={.status.podIP}')], hostname: index-0}
- {addresses: [$(kubectl get pod index-1 -o 'jsonpath={.status.podIP}')], hostname: index-1}
- {addresses: [$(kubectl get pod index-2 -o 'jsonpath={.status.podIP}')], hostname: index-2}
EOF
