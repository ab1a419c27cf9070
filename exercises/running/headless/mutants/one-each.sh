for n in 0 1 2; do
  kubectl expose pod index-$n --port=80 --selector=statefulset.kubernetes.io/pod-name=index-$n
done
