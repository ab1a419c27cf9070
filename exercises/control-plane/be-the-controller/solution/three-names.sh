# The same, with the wish in a file: three names that should be there, and no other.
wish() {
  for name in kept-1 kept-2 kept-3; do
    echo "{apiVersion: v1, kind: Pod, metadata: {name: $name, labels: {app: kept}}, spec: {containers: [{name: web, image: 'tutor/web:1'}]}}"
    echo ---
  done
}
while true; do
  wish | kubectl apply -f -
  kubectl delete pods --wait=false -l app=kept --field-selector metadata.name!=kept-1,metadata.name!=kept-2,metadata.name!=kept-3
  sleep 0.5
done
