# Edge, not level: one Pod at the first sight of a gap, and then it waits for the next piece of news.
for name in kept-1 kept-2 kept-3; do kubectl run "$name" --image=tutor/web:1 --labels=app=kept; done
seen=3
while true; do
  have=$(kubectl get pods -l app=kept --no-headers -o name | grep -c pod/)
  if [ "$have" -lt "$seen" ]; then kubectl run "kept-$(date +%s%N)" --image=tutor/web:1 --labels=app=kept; fi
  seen=$(kubectl get pods -l app=kept --no-headers -o name | grep -c pod/)
  sleep 0.5
done
