while true; do
  kubectl run "kept-$(date +%s%N)" --image=tutor/web:1 --labels=app=kept
  sleep 0.5
done
