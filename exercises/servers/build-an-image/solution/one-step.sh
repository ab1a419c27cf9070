tutor image build -t "$REGISTRY/build-an-image:small" -f "$EXERCISE/solution/one-step.Dockerfile" .
tutor image push "$REGISTRY/build-an-image:small"
kubectl create deployment report --image="$REGISTRY/build-an-image:small"
