tutor image build -t "$REGISTRY/push-and-pull:1" .
tutor image push "$REGISTRY/push-and-pull:1"
kubectl create deployment hello --image="$REGISTRY/push-and-pull:v1"
