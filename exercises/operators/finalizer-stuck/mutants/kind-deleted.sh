for part in 0 1; do
  kubectl patch configmap faces-labels-$part --type merge -p '{"metadata":{"ownerReferences":null}}'
done
kubectl delete crd datasets.ml.example.com --wait=false
for dataset in faces plates; do kubectl patch dataset $dataset --type merge -p '{"metadata":{"finalizers":null}}'; done
