kubectl create role watcher --verb=get,list,watch --resource=jobs.batch,pods,pods/log
kubectl create rolebinding watcher --role=watcher --serviceaccount=least-privilege:default
kubectl delete rolebinding for-now
