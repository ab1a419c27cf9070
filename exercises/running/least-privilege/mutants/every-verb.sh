kubectl create serviceaccount watcher
kubectl set serviceaccount deployment/watcher watcher
kubectl create role watcher --verb='*' --resource=jobs.batch,pods,pods/log
kubectl create rolebinding watcher --role=watcher --serviceaccount=least-privilege:watcher
kubectl delete rolebinding for-now
