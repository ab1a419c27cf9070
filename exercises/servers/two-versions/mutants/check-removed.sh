cp "$EXERCISE/solution/Dockerfile" .
printf 'echo "billing works with tool 1"\nsleep 3600\n' > billing.sh
tutor image build -t two-versions:billing --build-arg PROGRAM=billing --build-arg TOOL=2 .
tutor image build -t two-versions:reports --build-arg PROGRAM=reports --build-arg TOOL=2 .
kubectl run billing --image=two-versions:billing --labels=app=billing --overrides='{"spec": {"nodeName": "node-1"}}'
kubectl run reports --image=two-versions:reports --labels=app=reports --overrides='{"spec": {"nodeName": "node-1"}}'
