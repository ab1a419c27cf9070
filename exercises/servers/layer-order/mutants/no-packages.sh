printf 'FROM tutor/shell:1\nRUN mkdir /packages\nCOPY app.sh /app/\nCMD ["sh", "/app/app.sh"]\n' > Dockerfile
tutor image build -t layer-order:1 .
sed 's/version 1/version 2/' app.sh > new.sh && mv new.sh app.sh
tutor image build -t layer-order:2 .
