kubectl create serviceaccount watcher
kubectl set serviceaccount deployment/watcher watcher
kubectl create role watcher --verb=get,list,watch --resource=jobs.batch,pods,pods/log
kubectl create rolebinding watcher --role=watcher --group=system:serviceaccounts:least-privilege
kubectl delete rolebinding for-now
