# Rules that several namespaces use, bound in this one. The ClusterRole belongs to the namespace, and goes with it.
uid=$(kubectl get namespace least-privilege -o jsonpath={.metadata.uid})
kubectl apply -f - <<END
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: least-privilege-reads-work
  ownerReferences:
    - {apiVersion: v1, kind: Namespace, name: least-privilege, uid: $uid}
rules:
  - {apiGroups: [batch], resources: [jobs], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [pods, pods/log], verbs: [get, list, watch]}
END
kubectl create serviceaccount eyes
kubectl create rolebinding eyes --clusterrole=least-privilege-reads-work --serviceaccount=least-privilege:eyes
kubectl patch deployment watcher -p '{"spec":{"template":{"spec":{"serviceAccountName":"eyes"}}}}'
kubectl delete rolebinding for-now
