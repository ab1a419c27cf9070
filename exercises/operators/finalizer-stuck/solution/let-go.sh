# The labels stay where they are, and belong to nobody.
for part in 0 1; do
  kubectl patch configmap faces-labels-$part --type merge -p '{"metadata":{"ownerReferences":null}}'
done
kubectl patch dataset faces --type json -p '[{"op":"remove","path":"/metadata/finalizers"}]'
