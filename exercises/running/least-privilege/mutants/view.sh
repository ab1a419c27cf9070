kubectl create serviceaccount watcher
kubectl set serviceaccount deployment/watcher watcher
kubectl create rolebinding watcher --clusterrole=view --serviceaccount=least-privilege:watcher
kubectl delete rolebinding for-now
