kubectl create serviceaccount watcher
kubectl set serviceaccount deployment/watcher watcher
kubectl create role watcher --verb=get,list,watch --resource=jobs.batch,pods
kubectl create rolebinding watcher --role=watcher --serviceaccount=least-privilege:watcher
kubectl delete rolebinding for-now
