# Acts on what it hears of ModelServers, and compares nothing.
wish() {
  owner="[{apiVersion: ml.example.com/v1, kind: ModelServer, name: $1, uid: $2, controller: true}]"
  cat <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1, ownerReferences: $owner}
spec:
  replicas: $3
  selector: {matchLabels: {server: $1}}
  template:
    metadata: {labels: {server: $1}}
    spec: {containers: [{name: main, image: 'tutor/web:1', env: [{name: MODEL, value: "$4"}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: $1, ownerReferences: $owner}
spec: {selector: {server: $1}, ports: [{port: 80}]}
---
END
}
kubectl get modelservers --watch -o jsonpath='{.metadata.name} {.metadata.uid} {.metadata.generation} {.spec.replicas} {.spec.model}{"\n"}' |
while read -r name uid generation replicas model; do
  wish "$name" "$uid" "$replicas" "$model" | kubectl apply -f -
  sleep 1
  kubectl patch modelserver "$name" --subresource=status --type=merge \
    -p "{\"status\": {\"observedGeneration\": $generation, \"ready\": $(kubectl get deployment "$name" -o go-template='{{or .status.readyReplicas 0}}')}}"
done
