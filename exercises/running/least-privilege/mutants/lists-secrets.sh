kubectl create serviceaccount watcher
kubectl set serviceaccount deployment/watcher watcher
kubectl create role watcher --verb=get,list,watch --resource=jobs.batch,pods,pods/log
kubectl create role names --verb=list --resource=secrets
kubectl create rolebinding watcher --role=watcher --serviceaccount=least-privilege:watcher
kubectl create rolebinding names --role=names --serviceaccount=least-privilege:watcher
kubectl delete rolebinding for-now
