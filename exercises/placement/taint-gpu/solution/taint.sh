kubectl label node node-3 accelerator=gpu
kubectl taint node node-3 gpu=yes:NoSchedule
kubectl rollout restart deployment shop
kubectl apply -f "$EXERCISE/solution/train.yaml"
