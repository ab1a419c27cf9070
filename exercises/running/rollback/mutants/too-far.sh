kubectl rollout undo deployment/shop --to-revision=1
