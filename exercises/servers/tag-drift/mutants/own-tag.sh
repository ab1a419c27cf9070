tutor image push "$REGISTRY/tag-drift:stable" "$REGISTRY/tag-drift:mine"
kubectl set image deployment/api api="$REGISTRY/tag-drift:mine"
kubectl rollout status deployment/api --timeout=30s
