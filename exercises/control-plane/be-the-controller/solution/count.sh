# Look, compare, take a step; then look again.
while true; do
  pods=$(kubectl get pods -l app=kept --no-headers -o name)
  have=$(echo "$pods" | grep -c pod/)
  while [ "$have" -lt 3 ]; do
    kubectl run "kept-$(date +%s%N)" --image=tutor/web:1 --labels=app=kept
    have=$((have + 1))
  done
  if [ "$have" -gt 3 ]; then
    kubectl delete --wait=false $(echo "$pods" | tail -n $((have - 3)))
  fi
  sleep 0.5
done
