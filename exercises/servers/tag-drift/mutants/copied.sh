printf 'FROM %s/tag-drift:stable\n' "$REGISTRY" > Dockerfile
tutor image build -t tag-drift:local .
kubectl set image deployment/api api=tag-drift:local
kubectl rollout status deployment/api --timeout=30s
