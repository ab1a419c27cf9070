# The Pods belong to the root, and the Deployment to nobody.
# An entry for ownerReferences: the root of a release.
root() {
  uid=$(kubectl get configmap "search-$1" -o jsonpath='{.metadata.uid}')
  echo "{apiVersion: v1, kind: ConfigMap, name: search-$1, uid: $uid, blockOwnerDeletion: true}"
}
for release in 1 2 3; do
  for piece in $(kubectl get pods -l release=$release -o name) service/search-$release-web configmap/search-$release-settings secret/search-$release-token; do
    kubectl patch $piece --type=merge -p "metadata: {ownerReferences: [$(root $release)]}"
  done
done
kubectl patch configmap search-embeddings --type=merge -p "metadata: {ownerReferences: [$(root 1), $(root 2)]}"
