kubectl set env deployment/filter THRESHOLD=0.8
