tutor image build -t push-and-pull:local .
tutor image push push-and-pull:local "$REGISTRY/push-and-pull:release"
kubectl create deployment greeter --image="$REGISTRY/push-and-pull:release" --dry-run=client -o yaml | sed 's/app: greeter/app: hello/' | kubectl apply -f -
kubectl patch deployment greeter -p '{"spec": {"replicas": 3}}'
