digest=$(tutor image inspect "$REGISTRY/tag-drift:stable" | grep '"digest"' | head -1 | cut -d '"' -f 4)
kubectl set image deployment/api api="$REGISTRY/tag-drift:stable@$digest"
kubectl rollout status deployment/api --timeout=30s
