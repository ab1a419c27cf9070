# The binding belongs to the namespace, so that it goes with it.
kubectl create serviceaccount watcher
kubectl set serviceaccount deployment/watcher watcher
kubectl create role watcher --verb=get,list,watch --resource=pods/log,pods
kubectl create rolebinding watcher --role=watcher --serviceaccount=least-privilege:watcher
uid=$(kubectl get namespace least-privilege -o jsonpath={.metadata.uid})
kubectl apply -f - <<END
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: least-privilege-watcher
  ownerReferences:
    - {apiVersion: v1, kind: Namespace, name: least-privilege, uid: $uid}
rules:
  - {apiGroups: [batch], resources: [jobs], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: least-privilege-watcher
  ownerReferences:
    - {apiVersion: v1, kind: Namespace, name: least-privilege, uid: $uid}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: least-privilege-watcher}
subjects:
  - {kind: ServiceAccount, name: watcher, namespace: least-privilege}
END
kubectl delete rolebinding for-now
