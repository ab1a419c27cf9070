# What a ModelServer is to become: a text of its name, uid, replicas and model, and of nothing else.
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
fields='{.metadata.name} {.metadata.uid} {.spec.replicas} {.spec.model} {.metadata.generation} {.status.observedGeneration}/{.status.ready}'
while true; do
  servers=$(kubectl get modelservers -o jsonpath="{range .items[*]}$fields{\"\n\"}{end}")
  echo "$servers" | while read -r name uid replicas model rest; do
    wish "$name" "$uid" "$replicas" "$model"
  done | kubectl apply -f -
  pods=$(kubectl get deployments -o jsonpath='{range .items[*]}{.metadata.name}={.status.readyReplicas}{"\n"}{end}')
  echo "$servers" | while read -r name uid replicas model generation said; do
    ready=$(echo "$pods" | sed -n "s/^$name=//p")
    [ "$said" = "$generation/${ready:-0}" ] || kubectl patch modelserver "$name" --subresource=status --type=merge \
      -p "{\"status\": {\"observedGeneration\": $generation, \"ready\": ${ready:-0}}}"
  done
  sleep 0.2
done
