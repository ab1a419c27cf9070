# A chain: the Deployment belongs to the root, and all the rest to the Deployment.
belongs() {
  uid=$(kubectl get "$2" "$3" -o jsonpath='{.metadata.uid}')
  case $2 in deployment) version=apps/v1 kind=Deployment ;; *) version=v1 kind=ConfigMap ;; esac
  kubectl patch "$1" --type=strategic -p "metadata: {ownerReferences: [{apiVersion: $version, kind: $kind, name: $3, uid: $uid, blockOwnerDeletion: true}]}"
}
for release in 1 2 3; do
  belongs deployment/search-$release-web configmap search-$release
  for piece in service/search-$release-web configmap/search-$release-settings secret/search-$release-token; do
    belongs $piece deployment search-$release-web
  done
done
# A patch of this sort adds to the list, and does not replace it.
belongs configmap/search-embeddings configmap search-1
belongs configmap/search-embeddings configmap search-2
